"""Pages of the draw side: the control room, and the draws."""

from django.urls import path

from prizes import public_views, views

urlpatterns = [
    path("console/", views.console, name="console"),
    path("console/<slug:slug>/", views.control_room, name="control_room"),
    path("console/<slug:slug>/live", views.live, name="live"),
    path("console/<slug:slug>/segments/<int:segment_id>/<slug:action>/", views.act, name="act"),
    path("draws/", public_views.draws, name="draws"),
    path("draws/<int:draw_id>/", public_views.draw_page, name="draw_page"),
]
