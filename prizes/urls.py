"""Pages of the draw side: the control room, the party page, and the draws."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from prizes import claim_views, party_views, public_views, views

urlpatterns = [
    path("console/", views.console, name="console"),
    path("console/<slug:slug>/", views.control_room, name="control_room"),
    path("console/<slug:slug>/live", views.live, name="live"),
    path("console/<slug:slug>/segments/<int:segment_id>/<slug:action>/", views.act, name="act"),
    path("console/<slug:slug>/claims/", claim_views.claims, name="claims"),
    path("console/<slug:slug>/claims/<slug:action>/", claim_views.act, name="claims_act"),
    path("parties/", party_views.parties, name="parties"),
    path("parties/live", party_views.live, name="parties_live"),
    path(
        "parties/login/",
        LoginView.as_view(template_name="prizes/party_login.html", next_page="parties"),
        name="party_login",
    ),
    path("parties/logout/", LogoutView.as_view(next_page="parties"), name="party_logout"),
    path("parties/<int:party_id>/lists/<int:list_id>/commit/", party_views.commit, name="party_commit"),
    path("parties/<int:party_id>/draws/<int:draw_id>/reveal/", party_views.reveal, name="party_reveal"),
    path("draws/", public_views.draws, name="draws"),
    path("draws/<int:draw_id>/", public_views.draw_page, name="draw_page"),
    path("draws/<int:draw_id>/claim/", claim_views.claim_page, name="claim_page"),
    path("verify_draw.py", public_views.verifier, name="verifier"),
]
